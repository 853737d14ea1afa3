"""What all tests share: on a busy machine an example of hypothesis may take long, which is no error."""

from hypothesis import settings

settings.register_profile("weft", deadline=None)
settings.load_profile("weft")
