"""VersaTune: a live mixture of domains for fine-tuning with Axolotl.

Importing this package costs nothing: the plugin class and what it needs are imported when Axolotl asks for it.
"""

TYPE_CHECKING = False  # type checkers take it as true; `typing` would cost every start of Python milliseconds
if TYPE_CHECKING:
    from versatune_plugin.plugin import VersaTunePlugin

__all__ = ["VersaTunePlugin", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> "type[VersaTunePlugin]":
    if name != "VersaTunePlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from versatune_plugin.errors import ConfigurationError
    from versatune_plugin.host.plain_errors import end_plainly

    end_plainly()
    try:
        from versatune_plugin.plugin import VersaTunePlugin
    except ImportError as error:
        # Axolotl logs an ImportError and then trains without the plugin; this must end the run instead.
        raise ConfigurationError(
            f"the VersaTune plugin cannot be imported, so nothing was trained: {error}. `versatune doctor` says what "
            "is missing"
        ) from error
    return VersaTunePlugin
