"""What can go wrong that a person must act on, one class per kind of action."""


class DisentangleError(Exception):
    """Root of all errors of this package; its text is one sentence for a person."""


class AxesError(DisentangleError):
    """The axes given do not fit the image; name them again."""


class DataError(DisentangleError):
    """The image itself cannot be used; choose or convert another."""


class ChannelError(DataError):
    """The channels of two things that must match do not."""


class ModelFileError(DisentangleError):
    """The file is not a model that this version can load."""


class DeviceMemoryError(DisentangleError):
    """The device ran out of memory even with the smallest tile."""


class MemoryRemark(UserWarning):
    """Memory ran out, and the work goes on in another way; its text says how."""
