"""The engine's steps without a server: where their time goes, and how it grows."""

from parfocal.bench.profiles.growth_profile import GrowthProfile
from parfocal.bench.profiles.kinds import PROFILES, Profile
from parfocal.bench.profiles.steps_profile import StepsProfile

__all__ = ["PROFILES", "GrowthProfile", "Profile", "StepsProfile"]
