// The part of Unity's API that Skyloop's scripts use, by its documentation (2021.3): names and types only.
// Compiling against it finds misspelt names, wrong types and syntax errors, and proves no more than that.
using System;

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
        public GameObject gameObject { get { return null; } }
        public T GetComponent<T>() { return default(T); }
    }

    public class Behaviour : Component { public bool enabled { get; set; } }
    public class MonoBehaviour : Behaviour { }

    public sealed class GameObject : Object
    {
        public GameObject(string name) { }
        public T GetComponent<T>() { return default(T); }
        public T AddComponent<T>() where T : Component { return null; }
        public static GameObject Find(string name) { return null; }
    }

    public struct Vector3
    {
        public static Vector3 one { get { return new Vector3(); } }
        public static Vector3 operator *(Vector3 a, float d) { return a; }
    }

    public struct Color { public Color(float r, float g, float b, float a) { } }

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
        public RenderTexture(
            int width, int height, int depth, RenderTextureFormat format, RenderTextureReadWrite readWrite) { }
    }

    public sealed class Shader : Object { public static Shader Find(string name) { return null; } }

    public class Material : Object
    {
        public Material(Shader shader) { }
        public Shader shader { get; set; }
        public void SetTexture(string name, Texture value) { }
        public void SetColor(string name, Color value) { }
        public void SetFloat(string name, float value) { }
        public void EnableKeyword(string keyword) { }
        public void DisableKeyword(string keyword) { }
    }

    public class TextAsset : Object { public string text { get { return ""; } } }
    public static class JsonUtility { public static T FromJson<T>(string json) { return default(T); } }
    public class Application { public static RuntimePlatform platform { get { return RuntimePlatform.LinuxEditor; } } }

    public sealed class Camera : Behaviour
    {
        public static Camera main { get { return null; } }
        public CameraClearFlags clearFlags { get; set; }
    }

    public sealed class DynamicGI { public static void UpdateEnvironment() { } }

    public sealed class ReflectionProbe : Behaviour
    {
        public Rendering.ReflectionProbeMode mode { get; set; }
        public Rendering.ReflectionProbeRefreshMode refreshMode { get; set; }
        public Rendering.ReflectionProbeClearFlags clearFlags { get; set; }
        public int cullingMask { get; set; }
        public int resolution { get; set; }
        public Vector3 size { get; set; }
        public int importance { get; set; }
        public int RenderProbe(RenderTexture targetTexture = null) { return 0; }
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
        public static RenderPipelineAsset currentRenderPipeline { get { return null; } }
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
        public bool isPrepared { get { return true; } }
    }
}
