// The part of Unity's editor API that Skyloop's script uses, by its documentation (2021.3); see UnityEngine.cs.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using UnityEngine;

namespace UnityEditor
{
    public sealed class MenuItem : Attribute { public MenuItem(string itemName) { } }

    public sealed class AssetDatabase
    {
        public static readonly Dictionary<string, UnityEngine.Object> Files = new Dictionary<string, UnityEngine.Object>();

        public static string[] FindAssets(string filter)
        {
            if (filter != "skyloop t:TextAsset") throw new NotSupportedException(filter);
            return Files.Where(file => file.Value is TextAsset && Path.GetFileNameWithoutExtension(file.Key).Contains("skyloop"))
                .Select(file => "guid of " + file.Key).ToArray();
        }

        public static string GUIDToAssetPath(string guid) { return guid.Substring("guid of ".Length); }

        public static string GetAssetPath(UnityEngine.Object asset)
        {
            return Files.Where(file => file.Value == asset).Select(file => file.Key).FirstOrDefault() ?? "";
        }

        public static T LoadAssetAtPath<T>(string path) where T : UnityEngine.Object
        {
            UnityEngine.Object found;
            return Files.TryGetValue(path, out found) ? found as T : null;
        }

        public static void CreateAsset(UnityEngine.Object asset, string path) { Files.Add(path, asset); }
        public static bool DeleteAsset(string path) { return Files.Remove(path); }
        public static void SaveAssets() { }
    }

    public class EditorUtility
    {
        public static string Said = "";

        public static bool DisplayDialog(string title, string message, string ok)
        {
            Said = message;
            return true;
        }

        public static void SetDirty(UnityEngine.Object target) { }
    }

    public class Undo { public static void RegisterCreatedObjectUndo(UnityEngine.Object created, string name) { } }

    public sealed class Selection
    {
        public static UnityEngine.Object activeObject { get; set; }
        public static GameObject activeGameObject { get; set; }
    }
}

namespace UnityEditor.SceneManagement
{
    public sealed class EditorSceneManager
    {
        public static bool MarkSceneDirty(UnityEngine.SceneManagement.Scene scene) { return true; }
    }
}
