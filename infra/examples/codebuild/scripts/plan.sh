#!/usr/bin/env bash
# Plans the run's commit. What it runs is the repository's: `terraform plan` starts providers, modules and external data
# sources that a pull request may name. It has no personal access token, and a role that can only read and report.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
words='the plan failed'

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

leave() {
    echo 'The run is over: nothing to do.'
    exit 0
}

# Found on the path if the image has it, else fetched once for this build.
ready_terraform() {
    if [ "$(terraform version -json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["terraform_version"])' 2>/dev/null)" = "$TERRAFORM_VERSION" ]; then
        return
    fi
    local machine=amd64 folder=https://releases.hashicorp.com/terraform/$TERRAFORM_VERSION name
    [ "$(uname -m)" = aarch64 ] && machine=arm64
    name=terraform_${TERRAFORM_VERSION}_linux_$machine.zip
    mkdir "$scratch/bin"
    (
        cd "$scratch/bin"
        curl --disable --proto '=https' --fail --silent --show-error --retry 4 --remote-name-all "$folder/$name" "$folder/terraform_${TERRAFORM_VERSION}_SHA256SUMS"
        grep "  $name\$" "terraform_${TERRAFORM_VERSION}_SHA256SUMS" | sha256sum --check --quiet
        unzip -q "$name" terraform
    ) || fail "Terraform $TERRAFORM_VERSION could not be fetched"
    PATH=$scratch/bin:$PATH
}

# Ends Terraform, gently first, while there is time left to report.
bounded() {
    timeout --kill-after=30 "$TERRAFORM_SECONDS" terraform "$@"
}

status=0
python3 "$here/report.py" running || status=$?
[ "$status" -ne 3 ] || leave # any other trouble with `running` holds nothing up

aws s3 cp --only-show-errors "s3://$ARCHIVES/runs/$RUN_ID.zip" "$scratch/archive.zip" || fail 'the archive of the commit could not be read'
# unzip drops ../ from names; what has them is no archive of Azure DevOps.
if unzip -Z1 "$scratch/archive.zip" | grep -E '^/|(^|/)\.\.(/|$)' || ! unzip -q "$scratch/archive.zip" -d "$scratch/tree"; then
    fail 'the archive of the commit could not be unpacked'
fi
cd "$scratch/tree/./$PROJECT_ROOT" || fail "$PROJECT_ROOT/ is not in the commit"

export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1 TF_INPUT=0
ready_terraform
if [ "$KIND" = test ]; then # of a module, which has no state and often no provider of its own
    bounded init -backend=false -no-color || fail 'terraform init failed'
    bounded validate -no-color || fail 'terraform validate failed'
    said='the module is valid'
else
    bounded init -no-color || fail 'terraform init failed'
    # Without a lock, which it could not write; and no plan file is kept, since that holds values in the clear.
    bounded plan -lock=false -no-color | tee "$scratch/said" || fail 'terraform plan failed'
    said=$(grep -m 1 -E '^(Plan:|No changes\.|Changes to Outputs:)' "$scratch/said") || said='planned'
fi

status=0
python3 "$here/report.py" finished "$said" || status=$?
[ "$status" -ne 3 ] || leave
[ "$status" -eq 0 ] || fail "$said, which could not be reported"
