"""Tables like the stack's own with nothing behind them, for tests that run functions in process. Prints {name: table} as JSON.

The stack's own have streams, and functions at their ends: those would dispatch what such a test writes, to a simulator that is not
the test's. Argument: {name: table} as JSON.
"""

import json
import sys

import botocore.session

client = botocore.session.get_session().create_client("dynamodb")
made = {}
for name, table in json.loads(sys.argv[1]).items():
    made[name] = f"{table}-scratch"
    known = client.describe_table(TableName=table)["Table"]
    indexes = [{key: index[key] for key in ("IndexName", "KeySchema", "Projection")} for index in known.get("GlobalSecondaryIndexes", [])]
    try:
        client.create_table(
            TableName=made[name],
            BillingMode="PAY_PER_REQUEST",
            KeySchema=known["KeySchema"],
            AttributeDefinitions=known["AttributeDefinitions"],
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        )
    except client.exceptions.ResourceInUseException:
        pass  # of an earlier `up`
print(json.dumps(made))
