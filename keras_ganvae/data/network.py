"""Is a host there? An answer within two seconds, whatever the network does.

TFDS asks for minutes before it gives up on a dead network, so it is asked only when the
host that it would download from answers.
"""

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

PATIENCE = 2.0  # seconds

_NOT_FROM_THE_HOST = 407  # a proxy wants a password


def reachable(url: str, seconds: float = PATIENCE) -> bool:
    """Whether the host of `url` answers HTTP within `seconds`, through a proxy if one is set.

    The bound is hard: looking up a name may hang for longer than any socket's timeout, so
    the question is asked in a thread that is left behind when time is up.
    """
    answers = []
    ask = threading.Thread(target=lambda: answers.append(_answers(url, seconds)), daemon=True)
    ask.start()
    ask.join(seconds)
    return any(answers)


def _answers(url: str, seconds: float) -> bool:
    parts = urlsplit(url)
    root = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")
    try:
        urllib.request.urlopen(root, timeout=seconds).close()
    except urllib.error.HTTPError as refusal:
        # The front page may be missing or forbidden: a host said so. A 5xx may be a proxy's.
        refusal.close()
        return refusal.code < 500 and refusal.code != _NOT_FROM_THE_HOST
    except urllib.error.URLError as error:
        # A host whose certificate we cannot check is there; TFDS has its own certificates.
        return isinstance(error.reason, ssl.SSLCertVerificationError)
    except (OSError, http.client.HTTPException):
        return False
    return True
