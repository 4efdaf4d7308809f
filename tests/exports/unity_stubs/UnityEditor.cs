// The part of Unity's editor API that Skyloop's script uses, by its documentation (2021.3): names and types only.
using System;
using UnityEngine;

namespace UnityEditor
{
    public sealed class MenuItem : Attribute { public MenuItem(string itemName) { } }

    public sealed class AssetDatabase
    {
        public static string[] FindAssets(string filter) { return new string[0]; }
        public static string GUIDToAssetPath(string guid) { return ""; }
        public static string GetAssetPath(UnityEngine.Object assetObject) { return ""; }
        public static T LoadAssetAtPath<T>(string assetPath) where T : UnityEngine.Object { return null; }
        public static void CreateAsset(UnityEngine.Object asset, string path) { }
        public static bool DeleteAsset(string path) { return true; }
        public static void SaveAssets() { }
    }

    public class EditorUtility
    {
        public static bool DisplayDialog(string title, string message, string ok) { return true; }
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
