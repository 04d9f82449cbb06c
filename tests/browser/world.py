"""What is behind the console, for tests that need something to be there or look at what became of it: the functions, called as an
operator or an executor calls them, and the simulator of Azure DevOps, where people push and open pull requests."""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

T = TypeVar("T")
PATIENCE = 40.0  # seconds: a delivery is dispatched after one or two, on a busy machine after more
# No proxy: it would not know this machine's loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def unique(word: str) -> str:
    """A name that nothing had before, also where a stack is used for several runs of the tests."""
    return f"{word}-{secrets.token_hex(3)}"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status


def until(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """What `look` gives, as soon as it is something."""
    deadline = time.monotonic() + patience
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.2)


class World:
    def __init__(self, stack: dict[str, Any]) -> None:
        self.stack = stack
        self.ado = stack["azureDevOps"]
        self.organization = str(self.ado["organizationUrl"])
        self.token = str(self.ado["personalAccessToken"])
        self.tokens: dict[str, str] = self.ado["tokens"]

    @property
    def secrets(self) -> set[str]:
        """What must not be seen anywhere."""
        return {self.token, *self.tokens.values(), self.stack["secretAccessKey"], self.stack["executor"]["secretAccessKey"]}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """As the operator: `setup/integrations`."""
        return self._signed(self.stack, method, path, body)

    def report(self, run: str, **members: str) -> Any:
        """As the executor, on a run."""
        return self._signed(self.stack["executor"], "PATCH", f"runs/runs/{quote(run)}", members)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """The simulator's control API: `faults`."""
        return _sent(method, f"{self.ado['url'].rstrip('/')}/_control/{path}", {}, body)

    def organization_control(self, method: str, path: str, body: Any = None) -> Any:
        return self.control(method, f"organizations/tidewater/{path}", body)

    def link(self, name: str, **members: Any) -> Any:
        """An integration that works, set up by the API."""
        return self.call("POST", "setup/integrations", {"name": name, "organizationUrl": self.organization, "personalAccessToken": self.token, **members})

    def stack_of(self, name: str, integration: str, **members: Any) -> Any:
        wanted = {"name": name, "integration": integration, "project": "Harbor", "repository": "platform", "branch": "main", **members}
        return self.call("POST", "stacks/stacks", wanted)

    def push(self, files: dict[str, str | None], project: str = "Harbor", repository: str = "platform", **members: Any) -> Any:
        return self.organization_control("POST", f"projects/{quote(project)}/repositories/{quote(repository)}/pushes", {"branch": "main", "files": files, **members})

    def pull_request(self, source: str, title: str, project: str = "Harbor", repository: str = "platform", **members: Any) -> Any:
        wanted = {"source": source, "title": title, **members}
        return self.organization_control("POST", f"projects/{quote(project)}/repositories/{quote(repository)}/pullRequests", wanted)

    def subscriptions(self, endpoint: str) -> list[Any]:
        """The service hooks that send there."""
        answer = self.organization_control("GET", "subscriptions")
        return [it for it in answer["subscriptions"] if it["consumerInputs"]["url"] == endpoint]

    def deliveries(self, integration: str) -> list[Any]:
        return list(self.call("GET", f"deliveries/deliveries?integration={integration}")["deliveries"])

    def runs(self, stack: str) -> list[Any]:
        return list(self.call("GET", f"runs/runs?stack={stack}")["runs"])

    def deliver(self, integration: str, body: bytes) -> None:
        """A delivery that only says that it comes from Azure DevOps: whoever knows the password can send any."""
        webhook = self.call("GET", f"setup/integrations/{integration}/webhook")
        request = urllib.request.Request(webhook["endpoint"], data=body, headers={"content-type": "application/json", **basic(webhook["password"])})
        with DIRECT.open(request, timeout=60) as answer:
            assert answer.status < 300

    def unlink(self, integration: str) -> None:
        self.call("DELETE", f"unlink/integrations/{integration}")

    def _signed(self, keys: dict[str, str], method: str, path: str, body: Any) -> Any:
        function, _, rest = path.partition("/")
        url = f"{self.stack[function]}/{rest}"
        data = None if body is None else json.dumps(body).encode()
        request = AWSRequest(method=method, url=url, data=data, headers={"content-type": "application/json"} if data else {})
        SigV4Auth(Credentials(keys["accessKeyId"], keys["secretAccessKey"]), "lambda", self.stack["region"]).add_auth(request)
        return _sent(method, url, dict(request.headers), body)


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f":{password}".encode()).decode()}


def _sent(method: str, url: str, headers: dict[str, str], body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers = {"content-type": "application/json", **headers}
    try:
        with DIRECT.open(urllib.request.Request(url, data=data, method=method, headers=headers), timeout=130) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from None
    return json.loads(text) if text else None
