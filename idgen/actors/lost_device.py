"""What an actor does when its accelerator's context is lost: nothing works in that process any more."""

import logging
import os

LOST_DEVICE_STATUS = 70


def end_if_lost(error: Exception, log: logging.Logger) -> None:
    """End this process when `error` (being handled) says that the device is lost; Ray starts another."""
    if "CUDA error" not in str(error):
        return
    log.exception("lost the device")
    for handler in logging.getLogger("idgen").handlers:
        handler.flush()
    os._exit(LOST_DEVICE_STATUS)
