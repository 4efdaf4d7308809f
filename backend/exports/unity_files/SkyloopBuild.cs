// Builds a looping sky by Skyloop in the open scene.
// SPDX-License-Identifier: MIT-0
#if UNITY_EDITOR
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using UnityEditor;
using UnityEditor.SceneManagement;
using UnityEngine;
using UnityEngine.Rendering;
using UnityEngine.SceneManagement;
using UnityEngine.Video;

namespace Skyloop
{
    public static class SkyloopBuild
    {
        private const string Title = "Skyloop";
        private const string FactsName = "skyloop.json";
        private const string ObjectName = "Skyloop Sky";

        /// What skyloop.json says of the film beside it. The rotation is that of Skybox/Panoramic, in degrees.
        [Serializable]
        private sealed class Facts
        {
            public int width = 0;
            public int height = 0;
            public float rotation = 0f;
        }

        [MenuItem("Tools/Skyloop/Build Sky")]
        public static void Build()
        {
            string problem = TryBuild();
            if (problem.Length > 0)
            {
                EditorUtility.DisplayDialog(Title, problem, "OK");
            }
        }

        /// Builds the sky and returns an empty text, or what is in the way and what to do about it.
        private static string TryBuild()
        {
            RenderPipelineAsset pipeline = GraphicsSettings.currentRenderPipeline;
            if (pipeline != null && pipeline.GetType().Name.Contains("HDRenderPipeline"))
            {
                return "This project uses HDRP, whose sky is part of a Volume. Skyloop builds skies for the built-in "
                    + "pipeline and URP.";
            }
            List<string> skies = Skies();
            if (skies.Count == 0)
            {
                return "There is no " + FactsName + " in this project. Import the .unitypackage again.";
            }
            string folder = Chosen(skies);
            if (folder.Length == 0)
            {
                return "There are " + skies.Count + " skies. Click the folder of one in the Project window first.";
            }
            string text = AssetDatabase.LoadAssetAtPath<TextAsset>(folder + "/" + FactsName).text;
            Facts facts = JsonUtility.FromJson<Facts>(text);
            VideoClip film = Film(folder);
            if (film == null)
            {
                return "The film in " + folder + " could not be imported. Unity's Console says why.";
            }
            RenderTexture screen = MakeScreen(folder, facts);
            Material material = MakeMaterial(folder, facts, screen);
            if (material == null)
            {
                return "This Unity has no shader Skybox/Panoramic. Use Unity 2021.3 or newer.";
            }
            AssetDatabase.SaveAssets();
            Place(film, screen);
            LightFrom(material);
            EditorSceneManager.MarkSceneDirty(SceneManager.GetActiveScene());
            return "";
        }

        private static List<string> Skies()
        {
            return AssetDatabase.FindAssets("skyloop t:TextAsset")
                .Select(guid => AssetDatabase.GUIDToAssetPath(guid))
                .Where(path => Path.GetFileName(path) == FactsName)
                .Select(path => path.Substring(0, path.Length - FactsName.Length - 1))
                .OrderBy(path => path, StringComparer.Ordinal)
                .ToList();
        }

        /// The only sky, or the one whose folder, or a file in it, is selected.
        private static string Chosen(List<string> skies)
        {
            if (skies.Count == 1)
            {
                return skies[0];
            }
            string selected = AssetDatabase.GetAssetPath(Selection.activeObject) + "/";
            return skies.FirstOrDefault(folder => selected.StartsWith(folder + "/", StringComparison.Ordinal)) ?? "";
        }

        /// H.264 where it plays; Unity's editor for Linux knows VP8 only.
        private static VideoClip Film(string folder)
        {
            bool linux = Application.platform == RuntimePlatform.LinuxEditor;
            string[] names = linux ? new[] { "sky.webm", "sky.mp4" } : new[] { "sky.mp4", "sky.webm" };
            return names.Select(name => AssetDatabase.LoadAssetAtPath<VideoClip>(folder + "/" + name))
                .FirstOrDefault(film => film != null);
        }

        private static RenderTexture MakeScreen(string folder, Facts facts)
        {
            string path = folder + "/Sky.renderTexture";
            RenderTexture screen = AssetDatabase.LoadAssetAtPath<RenderTexture>(path);
            if (screen != null && (screen.width != facts.width || screen.height != facts.height))
            {
                AssetDatabase.DeleteAsset(path);
                screen = null;
            }
            if (screen == null)
            {
                screen = new RenderTexture(
                    facts.width, facts.height, 0, RenderTextureFormat.ARGB32, RenderTextureReadWrite.sRGB);
                AssetDatabase.CreateAsset(screen, path);
            }
            screen.filterMode = FilterMode.Bilinear;
            screen.wrapModeU = TextureWrapMode.Repeat;
            screen.wrapModeV = TextureWrapMode.Clamp;
            EditorUtility.SetDirty(screen);
            return screen;
        }

        private static Material MakeMaterial(string folder, Facts facts, RenderTexture screen)
        {
            Shader shader = Shader.Find("Skybox/Panoramic");
            if (shader == null)
            {
                return null;
            }
            string path = folder + "/Sky.mat";
            Material material = AssetDatabase.LoadAssetAtPath<Material>(path);
            if (material == null)
            {
                material = new Material(shader);
                AssetDatabase.CreateAsset(material, path);
            }
            material.shader = shader;
            material.SetTexture("_MainTex", screen);
            material.SetColor("_Tint", new Color(0.5f, 0.5f, 0.5f, 0.5f)); // the shader doubles it
            material.SetFloat("_Exposure", 1f);
            material.SetFloat("_Rotation", facts.rotation);
            material.SetFloat("_Mapping", 1f);
            material.DisableKeyword("_MAPPING_6_FRAMES_LAYOUT");
            material.EnableKeyword("_MAPPING_LATITUDE_LONGITUDE_LAYOUT");
            material.SetFloat("_ImageType", 0f);
            material.SetFloat("_Layout", 0f);
            EditorUtility.SetDirty(material);
            return material;
        }

        /// One object holds player and probe; building again, or another sky, changes that one.
        private static void Place(VideoClip film, RenderTexture screen)
        {
            GameObject holder = GameObject.Find(ObjectName);
            if (holder == null)
            {
                holder = new GameObject(ObjectName);
                Undo.RegisterCreatedObjectUndo(holder, "Build Sky");
            }
            VideoPlayer player = Part<VideoPlayer>(holder);
            player.source = VideoSource.VideoClip;
            player.clip = film;
            player.renderMode = VideoRenderMode.RenderTexture;
            player.targetTexture = screen;
            player.aspectRatio = VideoAspectRatio.Stretch;
            player.audioOutputMode = VideoAudioOutputMode.None;
            player.isLooping = true;
            player.playOnAwake = true;
            player.waitForFirstFrame = true;
            player.skipOnDrop = true;

            ReflectionProbe probe = Part<ReflectionProbe>(holder);
            probe.mode = ReflectionProbeMode.Realtime;
            probe.refreshMode = ReflectionProbeRefreshMode.ViaScripting;
            probe.clearFlags = ReflectionProbeClearFlags.Skybox;
            probe.cullingMask = 0; // the sky alone
            probe.resolution = 128;
            probe.size = Vector3.one * 10000f;
            probe.importance = 0;
            Part<SkyloopSky>(holder).reflections = probe;
            EditorUtility.SetDirty(holder);
            Selection.activeGameObject = holder;
        }

        private static void LightFrom(Material material)
        {
            RenderSettings.skybox = material;
            RenderSettings.ambientMode = AmbientMode.Skybox;
            RenderSettings.ambientIntensity = 1f;
            RenderSettings.defaultReflectionMode = DefaultReflectionMode.Skybox;
            if (Camera.main != null)
            {
                Camera.main.clearFlags = CameraClearFlags.Skybox;
            }
            DynamicGI.UpdateEnvironment();
        }

        private static T Part<T>(GameObject holder) where T : Component
        {
            T found = holder.GetComponent<T>();
            return found != null ? found : holder.AddComponent<T>();
        }
    }
}
#endif
