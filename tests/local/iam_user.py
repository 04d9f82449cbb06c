"""Makes the user whose keys stand in stack.json: one who may do what the operator policy allows, and nothing else.

Runs in the virtual environment (botocore), with the local AWS's address and root keys in its environment: iam_user.py POLICY_ARN
"""

import json
import sys

import botocore.session

NAME = "operator"


def main(policy_arn: str) -> None:
    iam = botocore.session.get_session().create_client("iam")
    try:
        iam.create_user(UserName=NAME)
    except iam.exceptions.EntityAlreadyExistsException:
        pass  # a second `up` of the same stack
    iam.attach_user_policy(UserName=NAME, PolicyArn=policy_arn)
    for old in iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=NAME, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(UserName=NAME)["AccessKey"]
    print(json.dumps({"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]}))


main(*sys.argv[1:])
