#!/usr/bin/env python3
"""Tells Stackhook how far the run is: PATCH $RUNS_URL/runs/$RUN_ID, signed for a function URL.

    report.py running|finished|failed [words]

Exit status: 0 it is told; 3 the run is over already (canceled, say) and nothing more is wanted; 1 it could not be told.
The standard library alone, since the botocore of AWS CLI 2 cannot be imported.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

OVER = 3
ATTEMPTS = 5
LONGEST = 400
CONSOLES = {"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def credentials():
    """Key, secret and session token: the environment's, else those that the container's role has now."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
    url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or "http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = json.load(answer)
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def sign(method, url, body, keys, region, service, now):
    """Signature Version 4, of a URL without a query and a path that needs no escaping."""
    key, secret, token = keys
    place = urllib.parse.urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    headers = {"host": place.netloc, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{value}" for name, value in sorted(headers.items())]
    request = "\n".join([method, place.path or "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    mac = ("AWS4" + secret).encode()
    for part in [*scope.split("/"), text]:
        mac = hmac.digest(mac, part.encode(), "sha256")
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={mac.hex()}"}


def log_page():
    """Where a person with access to the account reads the build's log."""
    _, partition, _, region, account, build = os.environ["CODEBUILD_BUILD_ARN"].split(":", 5)
    build = build.removeprefix("build/")
    project = build.partition(":")[0]
    return f"https://{region}.{CONSOLES[partition]}/codesuite/codebuild/{account}/projects/{project}/build/{urllib.parse.quote(build)}/?region={region}"


def tell(state, words):
    url = f"{os.environ['RUNS_URL']}/runs/{os.environ['RUN_ID']}"
    report = {"state": state, "targetUrl": log_page(), **({"description": words[:LONGEST]} if words else {})}
    body = json.dumps(report).encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # Signed anew each time: a signature holds for five minutes, a container's keys are renewed.
            headers = sign("PATCH", url, body, credentials(), os.environ["AWS_REGION"], "lambda", datetime.now(timezone.utc))
            request = urllib.request.Request(url, body, {**headers, "content-type": "application/json"}, method="PATCH")
            # Of a PATCH, urllib follows no redirect.
            with urllib.request.urlopen(request, timeout=30):
                print(f"Reported {state}.")
                return 0
        except urllib.error.HTTPError as error:
            answer = f"{error.code} {error.read(2000).decode(errors='replace')}"
            if error.code == 409:
                print(f"Not reported {state}, the run is over: {answer}")
                return OVER
            again = error.code == 429 or error.code >= 500
        except OSError as error:
            answer, again = str(error), True
        print(f"Not reported {state}, attempt {attempt} of {ATTEMPTS}: {answer}", file=sys.stderr)
        if not again:
            break
        if attempt < ATTEMPTS:
            time.sleep(2**attempt)
    return 1


if __name__ == "__main__":
    sys.exit(tell(sys.argv[1], " ".join(sys.argv[2:])))
