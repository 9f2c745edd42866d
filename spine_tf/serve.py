"""Serves a page for one study at a time, and programs over HTTP: `python -m spine_tf.serve`."""

import pathlib

from absl import flags, logging

from spine_tf import flags as flags_module
from tfrecords import program, regular_file

_MODEL_DIRS = flags.DEFINE_list(
    "model_dir",
    None,
    "Directory that export wrote; several (a,b) answer together; without one, points and levels "
    "alone.",
)
_LOCALIZER_DIR = flags_module.localizer_dir(
    ", which finds points; the export's own if not given, or else the package's"
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Name or address to listen on; another than this machine's own needs a token.",
)
_PORT = flags.DEFINE_integer(
    "port", 8080, "Port to listen on; 0 for any that is free.", lower_bound=0, upper_bound=65535
)
_ALLOWED_HOSTS = flags.DEFINE_list(
    "allowed_hosts", [], "Names under which it may be asked, beside localhost and addresses."
)
_TOKEN_FILE = flags.DEFINE_string(
    "token_file", None, "File with the token that requests bring; without, a new one where needed."
)
_MIN_SLICES = flags.DEFINE_integer(
    "min_slices", 5, "Slices that a series has to have, as of organize.", lower_bound=1
)
_MAX_UPLOAD_MB = flags.DEFINE_integer(
    "max_upload_mb", 1024, "MiB that a zip may have.", lower_bound=1
)
_MAX_MEMORY_MB = flags.DEFINE_integer(
    "max_memory_mb", 4096, "MiB that zips and studies may take in memory together.", lower_bound=1
)
_WORKERS = flags.DEFINE_integer(
    "workers", 1, "Studies that are read at the same time.", lower_bound=1
)

_USAGE = """Serves a local page: drop a study, see its grades, move points; and POST /v1/studies.

  %s --model_dir E [--localizer_dir L] [--host 127.0.0.1] [--port 8080]
"""


def main() -> None:
    """Serves until a signal comes."""
    model_dirs = flags_module.require_dirs(_MODEL_DIRS) if _MODEL_DIRS.value else []
    flags_module.require_kinds(model_dir=model_dirs)
    try:
        from spine_tf.web import bounds, service
    except ImportError as err:
        raise ValueError(
            f"serve needs the package {err.name}: pip install 'spine-tf[serve]'"
        ) from err

    settings = service.Settings(
        version=program.version(),
        model_dirs=model_dirs,
        localizer_dir=program.path(_LOCALIZER_DIR),
        host=_HOST.value,
        port=_PORT.value,
        allowed_hosts=_ALLOWED_HOSTS.value,
        token=_token(),
        bounds=bounds.Bounds(
            num_upload_bytes=_MAX_UPLOAD_MB.value * 2**20,
            num_held_bytes=_MAX_MEMORY_MB.value * 2**20,
            num_readings=_WORKERS.value,
            min_slices=_MIN_SLICES.value,
        ),
    )
    with service.running(settings) as running:
        if not running.is_local:
            logging.warning(
                "other machines can ask here, over a connection that is not encrypted: who has the "
                "token can read; let a proxy with TLS stand before it"
            )
        secret = f"/#token={running.token}" if running.token else ""
        print(f"serving on {running.address}{secret}", flush=True)
        running.ended.wait()


def _token() -> str | None:
    if not _TOKEN_FILE.value:
        return None
    return regular_file.read_text(pathlib.Path(_TOKEN_FILE.value)).strip()


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
