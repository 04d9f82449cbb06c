#!/usr/bin/env python3
"""Runs the scripts of both projects, with the real curl, unzip and Terraform. Azure DevOps and runs are small servers here;
`aws` is a stand-in that keeps what it is given. What was tried against more than that: ../README.md."""

import base64
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True
SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
import report  # noqa: E402

TOKEN = "plantedPersonalAccessToken"
COMMIT = "c0ffee" + "0" * 34
RUN = "11111111-2222-3333-4444-555555555555"
KEYS = ("AKIDEXAMPLE", "secret", "session")
PAGE = b"<html>Sign in to your account</html>"
PLANNED = 'resource "terraform_data" "it" {}\n'  # built in: no provider to fetch

AWS = f"""#!{sys.executable}
import json, os, pathlib, shutil, sys
state = pathlib.Path(os.environ["STATE"])
with open(state / "calls", "a") as calls:
    print(json.dumps([sys.argv, dict(os.environ)]), file=calls)
arguments = sys.argv[1:]
place = lambda it: str(state / it.removeprefix("s3://").replace("/", "_")) if it.startswith("s3://") else it
if arguments[:2] == ["secretsmanager", "get-secret-value"]:
    print((state / "secret").read_text())
elif arguments[:3] == ["s3", "cp", "--only-show-errors"]:
    shutil.copy(place(arguments[3]), place(arguments[4]))
elif arguments[:2] == ["codebuild", "start-build"]:
    refusals = state / "refusals"
    left = int(refusals.read_text()) if refusals.exists() else 0
    refusals.write_text(str(left - 1))
    if left > 0:
        sys.exit("AccountLimitExceededException")
    (state / "build").write_text(json.dumps(dict(zip(arguments[2::2], arguments[3::2]))))
    print("stackhook-prod-plan:1")
else:
    sys.exit("not expected")
"""

CURL = """#!/bin/sh
python3 -c 'import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]))' "$@" >> "$STATE/calls"
exec {curl} "$@"
"""


def archive(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return data.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """Answers what it is told to, one after the other and then the last for ever; keeps what it was asked."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status, headers, content = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        for name, value in {"content-length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PATCH = answer

    def log_message(self, *_):
        pass


OK = (200, {}, b"{}")
OVER = (409, {}, b'{"title":"the run was canceled"}')


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.state = self.folder / "state"
        self.state.mkdir()
        self.state.joinpath("secret").write_text(json.dumps({"kind": "personalAccessToken", "token": TOKEN}))
        tools = self.folder / "tools"
        tools.mkdir()
        for name, text in {"aws": AWS, "curl": CURL.format(curl=shutil.which("curl"))}.items():
            tools.joinpath(name).write_text(text)
            tools.joinpath(name).chmod(0o755)
        self.runs = self.serve(OK)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "STATE": str(self.state),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_REGION": "eu-west-1",
            **dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), KEYS)),
            "CODEBUILD_BUILD_ARN": "arn:aws:codebuild:eu-west-1:123456789012:build/stackhook-prod-plan:b1",
            "RUNS_URL": self.runs.url,
            "ARCHIVES": "archives",
            "RUN_ID": RUN,
            "STACK": "harbor-prod",
            "INTEGRATION": "acme",
            "PROJECT_ID": "aaaaaaaa-0000-0000-0000-000000000000",
            "REPOSITORY_ID": "bbbbbbbb-0000-0000-0000-000000000000",
            "COMMIT": COMMIT,
            "PROJECT_ROOT": "prod",
            "KIND": "proposed",
        }

    def serve(self, *answers):
        server = Server(*answers)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def script(self, *command, **settings):
        """The exit status; what it said is kept."""
        done = subprocess.run(
            [*command[:1], str(SCRIPTS / command[1]), *command[2:]], env={**self.environment, **settings}, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        self.said = done.stdout + done.stderr
        return done.returncode

    def reports(self):
        """State and words of each report, after a look at its signature."""
        told = []
        for path, headers, body in self.runs.asked:
            self.assertEqual(path, f"/runs/{RUN}")
            now = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
            wanted = report.sign("PATCH", f"http://{headers['host']}{path}", body, KEYS, "eu-west-1", "lambda", now)
            self.assertEqual({name: headers[name] for name in wanted}, wanted)
            self.assertEqual(headers["x-amz-security-token"], KEYS[2])
            self.assertIn("SignedHeaders=host;x-amz-date;x-amz-security-token,", headers["authorization"])
            what = json.loads(body)
            told.append((what["state"], what.get("description")))
        return told


class Checkout(Case):
    def checkout(self, *answers, **settings):
        self.ado = self.serve(*answers)
        organizations = json.dumps({"acme": self.ado.url + "/acme"})
        return self.script(
            "bash", "checkout.sh", **{"ORGANIZATIONS": organizations, "PLAN_PROJECT": "stackhook-prod-plan", "SECRET_PREFIX": "stackhook/prod", "START_WAITS": "0 0", **settings}
        )

    def stored(self):
        file = self.state / f"archives_runs_{RUN}.zip"
        return file.read_bytes() if file.exists() else None

    def test_the_archive_is_stored_and_the_plan_is_started(self):
        content = archive({"prod/main.tf": PLANNED})
        self.assertEqual(self.checkout((200, {}, content)), 0, self.said)
        self.assertEqual(self.stored(), content)
        build = json.loads((self.state / "build").read_text())
        self.assertEqual((build["--project-name"], build["--idempotency-token"]), ("stackhook-prod-plan", RUN))
        given = {it["name"]: it["value"] for it in json.loads(build["--environment-variables-override"]) if it["type"] == "PLAINTEXT"}
        names = ["RUN_ID", "STACK", "INTEGRATION", "PROJECT_ID", "REPOSITORY_ID", "COMMIT", "PROJECT_ROOT", "KIND"]
        self.assertEqual(given, {name: self.environment[name] for name in names})
        self.assertEqual(self.reports(), [], "it is the plan that says `running`")
        [(path, headers, _)] = self.ado.asked
        self.assertTrue(path.startswith("/acme/aaaaaaaa-0000-0000-0000-000000000000/_apis/git/repositories/bbbbbbbb-0000-0000-0000-000000000000/items?scopePath=/&"), path)
        for part in (f"versionDescriptor.version={COMMIT}", "versionDescriptor.versionType=commit", "$format=zip"):
            self.assertIn(part, path)
        self.assertEqual(headers["authorization"], "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode())
        self.assertEqual(headers["x-tfs-fedauthredirect"], "Suppress")

    def test_the_token_is_in_no_arguments_no_environment_and_no_log(self):
        self.checkout((200, {}, archive({"a": "b"})))
        calls = (self.state / "calls").read_text()
        self.assertGreaterEqual(len(calls.splitlines()), 4)
        self.assertNotIn(TOKEN, calls + self.said)

    def test_a_sign_in_page_is_no_archive(self):
        elsewhere = self.serve((200, {}, archive({"a": "b"})))
        for answer, words in [
            ((203, {}, PAGE), "Azure DevOps refused the personal access token (203)"),
            ((302, {"location": elsewhere.url}, b""), "Azure DevOps refused the personal access token (302)"),
            ((401, {}, b""), "Azure DevOps refused the personal access token (401)"),
            ((404, {}, b""), f"Azure DevOps has no commit {COMMIT} there, or does not show it to this token"),
            ((200, {}, PAGE), "Azure DevOps answered with something else than an archive"),
        ]:
            with self.subTest(words):
                self.runs.asked.clear()
                self.assertEqual(self.checkout(answer), 1)
                self.assertEqual(self.reports(), [("failed", words)])
                self.assertIsNone(self.stored())
        self.assertEqual(elsewhere.asked, [], "the token went where a redirect pointed")

    def test_a_mood_of_azure_devops_is_waited_out(self):
        self.assertEqual(self.checkout((503, {}, b""), (429, {"retry-after": "1"}, b""), (200, {}, archive({"a": "b"}))), 0, self.said)
        self.assertIsNotNone(self.stored())

    def test_a_secret_that_cannot_be_read_is_reported(self):
        for content in ("", "{}", '{"kind":"other","token":"x"}', json.dumps({"kind": "personalAccessToken", "token": 'x"\nurl = "http://evil'})):
            with self.subTest(content):
                self.runs.asked.clear()
                (self.state / "secret").write_text(content)
                self.assertEqual(self.checkout(OK), 1)
                self.assertEqual(self.reports(), [("failed", "the personal access token could not be read")])
                self.assertEqual(self.ado.asked, [])

    def test_what_stackhook_does_not_send_goes_nowhere(self):
        for name, value in [("INTEGRATION", "other"), ("INTEGRATION", "../x"), ("PROJECT_ID", "p/../q"), ("REPOSITORY_ID", ""), ("COMMIT", "main&x=y"), ("COMMIT", f"{COMMIT}\nx")]:
            with self.subTest(value):
                self.runs.asked.clear()
                self.assertEqual(self.checkout(OK, **{name: value}), 1)
                self.assertEqual([state for state, _ in self.reports()], ["failed"])
                self.assertEqual(self.ado.asked, [])
        self.runs.asked.clear()
        self.assertEqual(self.checkout(OK, RUN_ID="../integrations"), 1)
        self.assertEqual(self.runs.asked, [])

    def test_a_plan_that_is_refused_is_asked_for_again_and_then_reported(self):
        content = (200, {}, archive({"a": "b"}))
        (self.state / "refusals").write_text("2")
        self.assertEqual(self.checkout(content), 0, self.said)
        self.assertEqual(self.reports(), [])
        (self.state / "refusals").write_text("9")
        self.assertEqual(self.checkout(content), 1)
        self.assertEqual(self.reports(), [("failed", "the plan could not be started")])


class Plan(Case):
    @classmethod
    def setUpClass(cls):
        answer = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
        cls.version = json.loads(answer.stdout)["terraform_version"]

    def plan(self, files, **settings):
        (self.state / f"archives_runs_{RUN}.zip").write_bytes(archive(files))
        return self.script("bash", "plan.sh", **{"TERRAFORM_VERSION": self.version, "TERRAFORM_SECONDS": "60", **settings})

    def answer(self, *answers):
        self.runs.answers = list(answers)

    def test_a_plan_is_reported_with_what_it_comes_to(self):
        self.assertEqual(self.plan({"prod/main.tf": PLANNED}), 0, self.said)
        self.assertEqual(self.reports(), [("running", None), ("finished", "Plan: 1 to add, 0 to change, 0 to destroy.")])

    def test_the_repository_itself_can_be_the_project(self):
        self.assertEqual(self.plan({"main.tf": ""}, PROJECT_ROOT=""), 0, self.said)
        [_, (state, words)] = self.reports()
        self.assertEqual((state, words.partition(".")[0]), ("finished", "No changes"))

    def test_a_module_is_validated(self):
        self.assertEqual(self.plan({"prod/main.tf": 'variable "needed" {}\n'}, KIND="test"), 0, self.said)
        self.assertEqual(self.reports()[-1], ("finished", "the module is valid"))

    def test_what_fails_is_reported(self):
        for files, words in [
            ({"prod/main.tf": 'output "it" {\n  value = file("missing")\n}\n'}, "terraform plan failed"),
            ({"prod/main.tf": "resource {}\n"}, "terraform init failed"),
            ({"other/main.tf": ""}, "prod/ is not in the commit"),
        ]:
            with self.subTest(words):
                self.runs.asked.clear()
                self.assertEqual(self.plan(files), 1)
                self.assertEqual(self.reports(), [("running", None), ("failed", words)])

    def test_a_plan_without_end_is_ended_in_time_to_report(self):
        slow = self.folder / "tools" / "terraform"
        slow.write_text(f'#!/bin/sh\n[ "$1" != plan ] || exec sleep 60\nexec {shutil.which("terraform")} "$@"\n')
        slow.chmod(0o755)
        self.assertEqual(self.plan({"prod/main.tf": PLANNED}, TERRAFORM_SECONDS="1"), 1)
        self.assertEqual(self.reports()[-1], ("failed", "terraform plan failed"))

    def test_an_archive_cannot_write_beside_its_place(self):
        self.assertEqual(self.plan({"../escaped": "", "prod/main.tf": PLANNED}), 1)
        self.assertEqual(self.reports()[-1], ("failed", "the archive of the commit could not be unpacked"))
        self.assertEqual([str(file) for file in self.folder.rglob("escaped")], [])

    def test_a_run_that_was_canceled_is_left_alone(self):
        self.answer(OVER)
        self.assertEqual(self.plan({"prod/main.tf": PLANNED}), 0, self.said)
        self.assertEqual(self.reports(), [("running", None)])
        self.assertFalse((self.state / "calls").exists(), "nothing was fetched")

    def test_a_run_that_is_canceled_meanwhile_is_no_failure(self):
        self.answer(OK, OVER)
        self.assertEqual(self.plan({"prod/main.tf": PLANNED}), 0, self.said)
        self.assertEqual([state for state, _ in self.reports()], ["running", "finished"])

    def test_running_that_cannot_be_told_holds_nothing_up(self):
        self.answer((403, {}, b""), OK)
        self.assertEqual(self.plan({"prod/main.tf": PLANNED}), 0, self.said)
        self.assertEqual([state for state, _ in self.reports()], ["running", "finished"])


class Report(Case):
    def test_signatures_are_those_of_aws(self):
        """get-vanilla and post-vanilla of AWS's Signature Version 4 test suite."""
        keys = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
        now = datetime(2015, 8, 30, 12, 36, tzinfo=timezone.utc)
        for method, signature in {
            "GET": "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            "POST": "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        }.items():
            signed = report.sign(method, "https://example.amazonaws.com/", b"", keys, "us-east-1", "service", now)
            self.assertTrue(signed["authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={signature}"))

    def test_a_container_asks_for_its_keys(self):
        role = self.serve((200, {}, json.dumps({"AccessKeyId": KEYS[0], "SecretAccessKey": KEYS[1], "Token": KEYS[2]}).encode()))
        del self.environment["AWS_ACCESS_KEY_ID"]
        self.assertEqual(self.script(sys.executable, "report.py", "running", AWS_CONTAINER_CREDENTIALS_FULL_URI=role.url), 0, self.said)
        self.assertEqual(self.reports(), [("running", None)])

    def test_the_log_is_linked(self):
        self.script(sys.executable, "report.py", "running")
        [(_, _, body)] = self.runs.asked
        page = "https://eu-west-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/stackhook-prod-plan/build/stackhook-prod-plan%3Ab1/?region=eu-west-1"
        self.assertEqual(json.loads(body)["targetUrl"], page)

    def test_a_failure_that_passes_is_waited_out(self):
        self.runs.answers = [(502, {}, b""), OK]
        self.assertEqual(self.script(sys.executable, "report.py", "finished", "so", "far"), 0, self.said)
        self.assertEqual(self.reports(), [("finished", "so far")] * 2)

    def test_a_refusal_is_not_repeated_and_a_redirect_not_followed(self):
        elsewhere = self.serve(OK)
        for answer in [(403, {}, b""), (302, {"location": elsewhere.url}, b"")]:
            self.runs.answers, self.runs.asked = [answer], []
            self.assertEqual(self.script(sys.executable, "report.py", "finished"), 1)
            self.assertEqual(len(self.runs.asked), 1)
        self.assertEqual(elsewhere.asked, [])

    def test_the_end_of_a_run_has_a_status_of_its_own(self):
        self.runs.answers = [OVER]
        self.assertEqual(self.script(sys.executable, "report.py", "running"), 3)


if __name__ == "__main__":
    missing = [tool for tool in ("bash", "curl", "terraform", "timeout", "unzip") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"infra/examples/codebuild/tests/scripts.py wants {', '.join(missing)}")
    unittest.main()
