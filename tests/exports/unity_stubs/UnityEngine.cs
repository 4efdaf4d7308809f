// The part of Unity's API that Skyloop's scripts use, by its documentation (2021.3): its names and types, and as much
// behind them as it takes to see what the scripts did. It proves that they agree with this reading of the API, no more.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;

namespace UnityEngine
{
    public class Object
    {
        public string name { get; set; }
        public static bool operator ==(Object a, Object b) { return ReferenceEquals(a, b); }
        public static bool operator !=(Object a, Object b) { return !ReferenceEquals(a, b); }
        public override bool Equals(object other) { return ReferenceEquals(this, other); }
        public override int GetHashCode() { return 0; }
    }

    public class Component : Object
    {
        public GameObject gameObject { get; internal set; }
        public T GetComponent<T>() where T : Component { return gameObject.GetComponent<T>(); }
    }

    public class Behaviour : Component { public bool enabled { get; set; } }
    public class MonoBehaviour : Behaviour { }

    public sealed class GameObject : Object
    {
        public static readonly List<GameObject> Scene = new List<GameObject>();
        public readonly List<Component> Components = new List<Component>();

        public GameObject(string name)
        {
            this.name = name;
            Scene.Add(this);
        }

        public T GetComponent<T>() where T : Component { return Components.OfType<T>().FirstOrDefault(); }

        public T AddComponent<T>() where T : Component
        {
            T made = Activator.CreateInstance<T>();
            made.gameObject = this;
            Components.Add(made);
            return made;
        }

        public static GameObject Find(string name) { return Scene.FirstOrDefault(other => other.name == name); }
    }

    public struct Vector3
    {
        public float x, y, z;
        public static Vector3 one { get { return new Vector3 { x = 1, y = 1, z = 1 }; } }
        public static Vector3 operator *(Vector3 a, float d) { return new Vector3 { x = a.x * d, y = a.y * d, z = a.z * d }; }
    }

    public struct Color
    {
        public float r, g, b, a;
        public Color(float r, float g, float b, float a) { this.r = r; this.g = g; this.b = b; this.a = a; }
    }

    public enum FilterMode { Point, Bilinear, Trilinear }
    public enum TextureWrapMode { Repeat, Clamp, Mirror, MirrorOnce }
    public enum RenderTextureFormat { ARGB32 }
    public enum RenderTextureReadWrite { Default, Linear, sRGB }
    public enum CameraClearFlags { Skybox = 1, Color = 2, SolidColor = 2, Depth = 3, Nothing = 4 }
    public enum RuntimePlatform { OSXEditor = 0, WindowsEditor = 7, LinuxEditor = 16 }

    public class Texture : Object
    {
        public virtual int width { get; set; }
        public virtual int height { get; set; }
        public FilterMode filterMode { get; set; }
        public TextureWrapMode wrapModeU { get; set; }
        public TextureWrapMode wrapModeV { get; set; }
    }

    public class RenderTexture : Texture
    {
        public readonly RenderTextureReadWrite ReadWrite;

        public RenderTexture(
            int width, int height, int depth, RenderTextureFormat format, RenderTextureReadWrite readWrite)
        {
            this.width = width;
            this.height = height;
            ReadWrite = readWrite;
        }
    }

    public sealed class Shader : Object
    {
        public static Shader Find(string name) { return name == "Skybox/Panoramic" ? new Shader { name = name } : null; }
    }

    public class Material : Object
    {
        public readonly Dictionary<string, object> Values = new Dictionary<string, object>();
        public readonly HashSet<string> Keywords = new HashSet<string>();
        public Material(Shader shader) { this.shader = shader; }
        public Shader shader { get; set; }
        public void SetTexture(string name, Texture value) { Values[name] = value; }
        public void SetColor(string name, Color value) { Values[name] = value; }
        public void SetFloat(string name, float value) { Values[name] = value; }
        public void EnableKeyword(string keyword) { Keywords.Add(keyword); }
        public void DisableKeyword(string keyword) { Keywords.Remove(keyword); }
    }

    public class TextAsset : Object
    {
        public TextAsset(string text) { this.text = text; }
        public string text { get; private set; }
    }

    public static class JsonUtility
    {
        public static T FromJson<T>(string json)
        {
            object made = Activator.CreateInstance(typeof(T), true);
            foreach (Match found in Regex.Matches(json, "\"(\\w+)\": ([-0-9.]+)"))
            {
                var field = typeof(T).GetField(found.Groups[1].Value);
                var invariant = System.Globalization.CultureInfo.InvariantCulture;
                if (field != null) field.SetValue(made, Convert.ChangeType(found.Groups[2].Value, field.FieldType, invariant));
            }
            return (T)made;
        }
    }

    public class Application { public static RuntimePlatform platform { get; set; } }

    public sealed class Camera : Behaviour
    {
        public static Camera main { get; set; }
        public CameraClearFlags clearFlags { get; set; }
    }

    public sealed class DynamicGI
    {
        public static int Updates;
        public static void UpdateEnvironment() { Updates += 1; }
    }

    public sealed class ReflectionProbe : Behaviour
    {
        public Rendering.ReflectionProbeMode mode { get; set; }
        public Rendering.ReflectionProbeRefreshMode refreshMode { get; set; }
        public Rendering.ReflectionProbeClearFlags clearFlags { get; set; }
        public int cullingMask { get; set; }
        public int resolution { get; set; }
        public Vector3 size { get; set; }
        public int importance { get; set; }
        public int Renders;
        public int RenderProbe(RenderTexture targetTexture = null) { return Renders += 1; }
    }

    public sealed class RenderSettings : Object
    {
        public static Material skybox { get; set; }
        public static Rendering.AmbientMode ambientMode { get; set; }
        public static float ambientIntensity { get; set; }
        public static Rendering.DefaultReflectionMode defaultReflectionMode { get; set; }
    }

    [AttributeUsage(AttributeTargets.Field)]
    public sealed class TooltipAttribute : Attribute { public TooltipAttribute(string tooltip) { } }

    public sealed class AddComponentMenu : Attribute { public AddComponentMenu(string menuName) { } }

    public sealed class RequireComponent : Attribute { public RequireComponent(Type requiredComponent) { } }
}

namespace UnityEngine.Rendering
{
    public enum AmbientMode { Skybox = 0, Trilight = 1, Flat = 3, Custom = 4 }
    public enum DefaultReflectionMode { Skybox, Custom }
    public enum ReflectionProbeMode { Baked, Realtime, Custom }
    public enum ReflectionProbeRefreshMode { OnAwake, EveryFrame, ViaScripting }
    public enum ReflectionProbeClearFlags { Skybox = 1, SolidColor = 2 }
    public abstract class RenderPipelineAsset : Object { }

    public sealed class GraphicsSettings : Object
    {
        public static RenderPipelineAsset currentRenderPipeline { get; set; }
    }
}

namespace UnityEngine.SceneManagement
{
    public struct Scene { }
    public class SceneManager { public static Scene GetActiveScene() { return new Scene(); } }
}

namespace UnityEngine.Video
{
    public enum VideoSource { VideoClip, Url }
    public enum VideoRenderMode { CameraFarPlane, CameraNearPlane, RenderTexture, MaterialOverride, APIOnly }
    public enum VideoAspectRatio { NoScaling, FitVertically, FitHorizontally, FitInside, FitOutside, Stretch }
    public enum VideoAudioOutputMode { None, AudioSource, Direct, APIOnly }
    public sealed class VideoClip : Object { }

    public sealed class VideoPlayer : Behaviour
    {
        public VideoSource source { get; set; }
        public VideoClip clip { get; set; }
        public VideoRenderMode renderMode { get; set; }
        public RenderTexture targetTexture { get; set; }
        public VideoAspectRatio aspectRatio { get; set; }
        public VideoAudioOutputMode audioOutputMode { get; set; }
        public bool isLooping { get; set; }
        public bool playOnAwake { get; set; }
        public bool waitForFirstFrame { get; set; }
        public bool skipOnDrop { get; set; }
        public bool isPrepared { get; set; }
    }
}
