"""Fetches URLs with Python's own client; the proxy is in the environment, as people have it. The test's certificate
is nobody's to verify."""

import ssl
import sys
import urllib.request

unverified = ssl.create_default_context()
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE
for url in sys.argv[1:]:
    with urllib.request.urlopen(url, context=unverified) as answer:
        print(answer.read().decode())
    with urllib.request.urlopen(url, data=b"from python", context=unverified) as answer:
        print(answer.read().decode())
