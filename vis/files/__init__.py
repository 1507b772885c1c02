"""Models and pictures on disk: files are checked before they are read, and written whole or not at all."""

from vis.files.models import load_model
from vis.files.pictures import ImageFolder, load_image, prepared, save_picture, write_gif
from vis.files.tensorboard import PictureLog
from vis.files.writing import exists, written

__all__ = [
    "ImageFolder",
    "PictureLog",
    "exists",
    "load_image",
    "load_model",
    "prepared",
    "save_picture",
    "write_gif",
    "written",
]
