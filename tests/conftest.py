"""What every test shares."""

from hypothesis import settings

# A deadline for a single example measures the machine.
settings.register_profile("recorder", deadline=None, print_blob=True)
settings.load_profile("recorder")
