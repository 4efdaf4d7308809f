// A Unity project in which the menu item is chosen again and again; each time it prints what there is then.
using System;
using System.Linq;
using Skyloop;
using UnityEditor;
using UnityEngine;
using UnityEngine.Rendering;
using UnityEngine.Video;

internal sealed class HDRenderPipelineAsset : RenderPipelineAsset { }

internal static class Project
{
    private const string A = "Assets/Skyloop/a", B = "Assets/Moved/b";

    private static void Main()
    {
        Camera.main = new Camera { clearFlags = CameraClearFlags.SolidColor };
        Application.platform = RuntimePlatform.WindowsEditor;
        Build("empty");
        Add(A, 512, 90);
        Build("first");
        Build("again");
        Application.platform = RuntimePlatform.LinuxEditor;
        Build("linux");
        AssetDatabase.Files[A + "/skyloop.json"] = new TextAsset("{\"width\": 1024, \"height\": 512, \"rotation\": 0.5}");
        Build("larger");
        Add(B, 512, 270);
        Build("two");
        Selection.activeObject = AssetDatabase.Files[B + "/sky.mp4"];
        Build("chosen");
        Play();
        GraphicsSettings.currentRenderPipeline = new HDRenderPipelineAsset();
        Build("hdrp");
    }

    private static void Add(string folder, int width, int rotation)
    {
        string facts = "{\n \"width\": " + width + ",\n \"height\": " + width / 2 + ",\n \"rotation\": " + rotation + ".0\n}";
        AssetDatabase.Files[folder + "/skyloop.json"] = new TextAsset(facts);
        AssetDatabase.Files[folder + "/sky.mp4"] = new VideoClip();
        AssetDatabase.Files[folder + "/sky.webm"] = new VideoClip();
    }

    private static void Build(string when)
    {
        EditorUtility.Said = "";
        SkyloopBuild.Build();
        Console.WriteLine(when + " said " + EditorUtility.Said);
        Material sky = RenderSettings.skybox;
        if (sky == null)
        {
            return;
        }
        Print(when, "objects", string.Join(",", GameObject.Scene.Select(found => found.name)));
        GameObject holder = GameObject.Scene.Single();
        Print(when, "parts", string.Join(",", holder.Components.Select(found => found.GetType().Name)));
        VideoPlayer player = holder.GetComponent<VideoPlayer>();
        RenderTexture screen = player.targetTexture;
        Print(when, "clip", AssetDatabase.GetAssetPath(player.clip));
        Print(when, "plays", player.isLooping + " " + player.playOnAwake + " " + player.renderMode + " " + player.audioOutputMode);
        Print(when, "screen", AssetDatabase.GetAssetPath(screen) + " " + screen.width + "x" + screen.height + " " + screen.ReadWrite);
        Print(when, "wraps", screen.wrapModeU + " " + screen.wrapModeV);
        Print(when, "sky", AssetDatabase.GetAssetPath(sky) + " " + sky.shader.name + " " + string.Join(",", sky.Keywords));
        Print(when, "shows", ReferenceEquals(sky.Values["_MainTex"], screen) ? "screen" : "another");
        Print(when, "rotation", sky.Values["_Rotation"]);
        Print(when, "light", RenderSettings.ambientMode + " " + RenderSettings.defaultReflectionMode + " " + Camera.main.clearFlags);
    }

    /// Eight frames of a game; the film is prepared in the third.
    private static void Play()
    {
        GameObject holder = GameObject.Scene.Single();
        SkyloopSky sky = holder.GetComponent<SkyloopSky>();
        ReflectionProbe probe = holder.GetComponent<ReflectionProbe>();
        sky.lightEveryFrames = 2;
        Send(sky, "Awake");
        for (int frame = 1; frame <= 8; frame++)
        {
            holder.GetComponent<VideoPlayer>().isPrepared = frame >= 3;
            int before = DynamicGI.Updates;
            Send(sky, "Update");
            Console.WriteLine("frame " + frame + " light " + (DynamicGI.Updates - before) + " reflections " + probe.Renders);
        }
    }

    private static void Send(SkyloopSky sky, string message)
    {
        var hidden = System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic;
        typeof(SkyloopSky).GetMethod(message, hidden).Invoke(sky, null);
    }

    private static void Print(string when, string what, object value)
    {
        string text = Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture);
        Console.WriteLine(when + " " + what + " " + text);
    }
}
