"""Check within two seconds whether a host answers.

Without a network, TFDS retries a download for minutes, so its host is checked first.
"""

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT = 2.0  # seconds

_PROXY_AUTHENTICATION_REQUIRED = 407


def reachable(url: str, seconds: float = TIMEOUT) -> bool:
    """Whether the host of `url` answers HTTP within `seconds`, through a proxy if one is set.

    A name look-up may hang for longer than a socket's timeout, so the request runs in a
    daemon thread that is abandoned after `seconds`.
    """
    answers: list[bool] = []
    request = threading.Thread(target=lambda: answers.append(_answers(url, seconds)), daemon=True)
    request.start()
    request.join(seconds)
    return any(answers)


def _answers(url: str, seconds: float) -> bool:
    parts = urlsplit(url)
    root = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")
    try:
        urllib.request.urlopen(root, timeout=seconds).close()
    except urllib.error.HTTPError as refusal:
        # A 4xx shows that the host is up; a 5xx may be a proxy's.
        refusal.close()
        return refusal.code < 500 and refusal.code != _PROXY_AUTHENTICATION_REQUIRED
    except urllib.error.URLError as error:
        # The host is up, and TFDS has its own certificates.
        return isinstance(error.reason, ssl.SSLCertVerificationError)
    except (OSError, http.client.HTTPException):
        return False
    return True
