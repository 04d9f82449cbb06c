# All are encrypted at rest with DynamoDB's own key, as every table is: no KMS call, and no charge, on a cold read.

# Deliveries. Written once and kept for var.event_retention_days.
resource "aws_dynamodb_table" "events" {
  name                        = "${local.name}-events"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  # A delivery is never changed, so what it becomes needs its new image alone.
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "attention"
    type = "S"
  }

  attribute {
    name = "received"
    type = "N"
  }

  # Sparse: what a person should see (quarantined, oversize) carries integration and kind there.
  global_secondary_index {
    name               = "attention"
    hash_key           = "attention"
    range_key          = "received"
    projection_type    = "INCLUDE"
    non_key_attributes = ["kind"]
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Integrations, pending ones, and tombstones, which expire.
resource "aws_dynamodb_table" "integrations" {
  name                        = "${local.name}-integrations"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "directory"
    type = "S"
  }

  # Sparse: what is to be listed carries the attribute. It has what a list shows, and so no password digest.
  global_secondary_index {
    name            = "directory"
    hash_key        = "directory"
    range_key       = "pk"
    projection_type = "INCLUDE"
    non_key_attributes = [
      "organization", "organization_url", "status", "description", "labels",
      "token_expires_on", "connected_as", "checked_at", "connection_failure", "name_since", "created_at", "updated_at", "claimed_until",
    ]
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Stacks and modules, which stay until somebody deletes them, and their runs, which expire.
resource "aws_dynamodb_table" "stacks" {
  name                        = "${local.name}-stacks"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  # A change of a run is told with what it was before.
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  dynamic "attribute" {
    for_each = ["pk", "sk", "directory", "linked", "follows", "run_of", "month", "requested", "open", "concerns"]

    content {
      name = attribute.value
      type = "S"
    }
  }

  # All indexes are sparse, and whole: what is found in one is shown, or decided on, without a further read.

  # What is to be listed carries the attribute.
  global_secondary_index {
    name            = "directory"
    hash_key        = "directory"
    range_key       = "pk"
    projection_type = "ALL"
  }

  # A stack that is linked carries its integration's name; beside it the repository's id, and its own name. So what follows a
  # repository is read in one query.
  global_secondary_index {
    name            = "followers"
    hash_key        = "linked"
    range_key       = "follows"
    projection_type = "ALL"
  }

  # The runs of one stack, by their time.
  global_secondary_index {
    name            = "runs"
    hash_key        = "run_of"
    range_key       = "requested"
    projection_type = "ALL"
  }

  # All runs of a month, by their time.
  global_secondary_index {
    name            = "timeline"
    hash_key        = "month"
    range_key       = "requested"
    projection_type = "ALL"
  }

  # A run carries its integration's name until it ends; beside it the repository and the pull request that it is about.
  global_secondary_index {
    name            = "open"
    hash_key        = "open"
    range_key       = "concerns"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}
