"""Makes the users whose keys stand in stack.json: each may do what its policy allows, and nothing else.

Runs in the virtual environment (botocore), with the local AWS's address and root keys in its environment: iam_user.py NAME=POLICY_ARN…
"""

import json
import sys

import botocore.session


def make(iam, name: str, policy_arn: str) -> dict[str, str]:
    try:
        iam.create_user(UserName=name)
    except iam.exceptions.EntityAlreadyExistsException:
        pass  # a second `up` of the same stack
    iam.attach_user_policy(UserName=name, PolicyArn=policy_arn)
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]}


def main(*users: str) -> None:
    iam = botocore.session.get_session().create_client("iam")
    print(json.dumps({name: make(iam, name, policy_arn) for name, policy_arn in (user.split("=", 1) for user in users)}))


main(*sys.argv[1:])
