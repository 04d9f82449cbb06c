"""Prints the names of the integrations that have not been unlinked: integrations_left.py REGION TABLE

Runs in the virtual environment (botocore), with the credentials of whoever destroys a deployment. Tombstones do not count.
"""

import sys

import botocore.session


def main(region: str, table: str) -> None:
    dynamodb = botocore.session.get_session().create_client("dynamodb", region_name=region)
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        IndexName="directory",
        KeyConditionExpression="directory = :integration",
        FilterExpression="#status <> :unlinked",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":integration": {"S": "integration"}, ":unlinked": {"S": "unlinked"}},
    )
    for page in pages:
        for item in page["Items"]:
            print(item["pk"]["S"])


main(*sys.argv[1:])
