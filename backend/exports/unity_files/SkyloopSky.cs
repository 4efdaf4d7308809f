// A looping sky by Skyloop.
// SPDX-License-Identifier: MIT-0
using UnityEngine;
using UnityEngine.Video;

namespace Skyloop
{
    /// Plays the sky's film on this object's VideoPlayer and lets the scene's light and reflections follow it.
    [AddComponentMenu("Skyloop/Sky")]
    [RequireComponent(typeof(VideoPlayer))]
    public sealed class SkyloopSky : MonoBehaviour
    {
        [Tooltip("Light and reflections are taken from the sky anew every so many frames. 0 leaves them as they are.")]
        public int lightEveryFrames = 6;

        [Tooltip("A realtime probe, refreshed via scripting, that reflects the sky.")]
        public ReflectionProbe reflections;

        private VideoPlayer player;
        private int waited;

        private void Awake()
        {
            player = GetComponent<VideoPlayer>();
        }

        private void Update()
        {
            waited += 1;
            if (lightEveryFrames < 1 || waited < lightEveryFrames || !player.isPrepared)
            {
                return;
            }
            waited = 0;
            DynamicGI.UpdateEnvironment();
            if (reflections != null)
            {
                reflections.RenderProbe();
            }
        }
    }
}
