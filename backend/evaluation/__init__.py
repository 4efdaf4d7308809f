"""Quality figures of panoramic videos, and how they are shown. Importing this package loads neither numpy nor torch."""
