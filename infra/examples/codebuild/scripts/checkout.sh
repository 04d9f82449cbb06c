#!/usr/bin/env bash
# Fetches the run's commit from Azure DevOps as an archive, stores it, starts the plan. The one place that holds the personal
# access token; so it runs nothing that comes from the repository, and does not even unpack it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
words='the checkout failed'

finish() {
    local status=$?
    cd /
    rm -rf "$scratch"
    if [ "$status" -ne 0 ]; then
        python3 "$here/report.py" failed "$words" || true
    fi
}
trap finish EXIT

fail() {
    words=$1
    printf '%s\n' "$words" >&2
    exit 1
}

# They become part of addresses. Stackhook sends nothing else, but others may be allowed to put events on the bus.
guid='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
if ! [[ $RUN_ID =~ ^$guid$ ]]; then
    trap - EXIT # there is no run to report on
    echo 'RUN_ID is no id of a run' >&2
    exit 1
fi
[[ $INTEGRATION =~ ^[a-z0-9]+(-[a-z0-9]+)*$ ]] || fail 'the event names no integration'
[[ $PROJECT_ID =~ ^$guid$ && $REPOSITORY_ID =~ ^$guid$ ]] || fail 'the event names no repository'
[[ $COMMIT =~ ^[0-9a-f]{40}$ ]] || fail 'the event names no commit'

organization=$(python3 -c 'import json, os; print(json.loads(os.environ["ORGANIZATIONS"]).get(os.environ["INTEGRATION"], ""))')
[ -n "$organization" ] || fail "the integration $INTEGRATION is none of this executor's"

# As a line of curl's configuration. A shell variable, not exported: no process has it in its environment or arguments.
login=$(
    aws secretsmanager get-secret-value --secret-id "$SECRET_PREFIX/$INTEGRATION/personal-access-token" --query SecretString --output text |
        python3 -c '
import json, sys
secret = json.load(sys.stdin)
if secret.get("kind") != "personalAccessToken" or not secret["token"].isalnum() or not secret["token"].isascii():
    sys.exit("the secret holds no personal access token")
print("user = \":" + secret["token"] + "\"")'
) || fail 'the personal access token could not be read'

# Plain http is for an Azure DevOps that is simulated on this machine; no redirect is followed with the token.
protocol='=https'
[[ $organization =~ ^http://(127\.0\.0\.1|localhost)[:/] ]] && protocol='=http'
archive=$scratch/archive.zip
status=$(
    printf '%s\n' "$login" |
        curl --disable --config - --proto "$protocol" --max-redirs 0 --max-time 600 --retry 4 --retry-max-time 120 \
            --silent --show-error --get "$organization/$PROJECT_ID/_apis/git/repositories/$REPOSITORY_ID/items" \
            --data 'scopePath=/' --data 'recursionLevel=full' --data "versionDescriptor.version=$COMMIT" \
            --data 'versionDescriptor.versionType=commit' --data '$format=zip' --data 'zipForUnix=true' --data 'api-version=7.1' \
            --header 'Accept: application/zip' --header 'X-TFS-FedAuthRedirect: Suppress' \
            --output "$archive" --write-out '%{http_code}'
) || fail 'Azure DevOps could not be reached'
unset login

case $status in
200) ;;
203 | 30? | 401 | 403) fail "Azure DevOps refused the personal access token ($status)" ;;
404) fail "Azure DevOps has no commit $COMMIT there, or does not show it to this token" ;;
*) fail "Azure DevOps answered $status" ;;
esac
# A sign-in page has been seen with a 200.
[ "$(head -c 4 "$archive" | od -An -tx1 | tr -d ' ')" = 504b0304 ] || fail 'Azure DevOps answered with something else than an archive'

aws s3 cp --only-show-errors "$archive" "s3://$ARCHIVES/runs/$RUN_ID.zip" || fail 'the archive could not be stored'

variables=$(python3 -c '
import json, os
names = ["RUN_ID", "STACK", "INTEGRATION", "PROJECT_ID", "REPOSITORY_ID", "COMMIT", "PROJECT_ROOT", "KIND"]
print(json.dumps([{"name": name, "value": os.environ[name], "type": "PLAINTEXT"} for name in names]))')
# An event can come twice; the token makes one build of what is asked for within five minutes. A project at its limit of
# concurrent builds refuses more, so this waits a while.
for wait in ${START_WAITS:-15 30 60 120} ''; do
    if build=$(aws codebuild start-build --project-name "$PLAN_PROJECT" --idempotency-token "$RUN_ID" \
        --environment-variables-override "$variables" --query build.id --output text); then
        printf 'Stored the archive of %s, started %s.\n' "$COMMIT" "$build"
        exit 0
    fi
    [ -z "$wait" ] || sleep "$wait"
done
fail 'the plan could not be started'
