# What calls the functions that have no URL. Where a batch fails in part, they say which records (ReportBatchItemFailures).
locals {
  item_failures = ["ReportBatchItemFailures"]
}

# Deliveries → dispatch: each once, and again when somebody asks for it. What dispatch writes beside them passes neither filter.
# The table's other reader is announce below; DynamoDB allows two.
resource "aws_lambda_event_source_mapping" "deliveries" {
  function_name           = module.triggered["dispatch"].arn
  event_source_arn        = aws_dynamodb_table.events.stream_arn
  function_response_types = local.item_failures

  # From the oldest record that there is: LATEST could miss what comes while the mapping is made.
  starting_position = "TRIM_HORIZON"

  # Few, so that a batch ends within the function's time when Azure DevOps is slow, and none waits for another to fill it up.
  batch_size                         = 10
  maximum_batching_window_in_seconds = 0

  # The most that there is. Records of one partition of the table (an integration's, in eight) stay in order in one of so many
  # lanes a shard; a batch that takes long, or fails, holds up its own lane.
  parallelization_factor = 10

  # A crash or a time-out does not say which record it was. Halving finds it, and those halves are no retries.
  bisect_batch_on_function_error = true

  # What can be waited for is put off by dispatch itself and is no failure here. So what fails is not worth holding up a lane for
  # long (each try may take the function's whole time), and goes on by itself in the queue.
  maximum_retry_attempts = 5

  # After a stop of the mapping, what is older goes by the queue, too: a message there tells of what time the records are, and
  # dispatch looks in the table for what has become of nothing since. So what is new does not wait until all of that is done.
  maximum_record_age_in_seconds = local.hour

  filter_criteria {
    filter {
      pattern = jsonencode({ eventName = ["INSERT"], dynamodb = { NewImage = { kind = { S = ["event"] } } } })
    }
    filter {
      pattern = jsonencode({ eventName = ["INSERT"], dynamodb = { NewImage = { redelivery = { N = [{ exists = true }] } } } })
    }
  }

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.dispatch.arn
    }
  }
}

locals {
  # Streams → announce.
  announced = {
    # What became of deliveries. MODIFY: one that was parked, and went on.
    outcomes = {
      stream_arn = aws_dynamodb_table.events.stream_arn
      pattern    = { eventName = ["INSERT", "MODIFY"], dynamodb = { NewImage = { outcome = { S = [{ exists = true }] } } } }
    }

    # Runs. Not REMOVE, which is their expiry; and neither stacks nor what was reported.
    runs = {
      stream_arn = aws_dynamodb_table.stacks.stream_arn
      pattern    = { eventName = ["INSERT", "MODIFY"], dynamodb = { Keys = { sk = { S = ["run"] } } } }
    }
  }
}

resource "aws_lambda_event_source_mapping" "announced" {
  for_each = local.announced

  function_name           = module.triggered["announce"].arn
  event_source_arn        = each.value.stream_arn
  function_response_types = local.item_failures
  starting_position       = "TRIM_HORIZON"

  # A push on which two hundred stacks wait is told in two batches, each of ten calls.
  batch_size                         = 100
  maximum_batching_window_in_seconds = 0

  # The changes of one run stay in order, whatever the number of lanes; a record that the bus does not take holds up a tenth of a
  # shard. One that can never be told holds up nothing: announce sends its keys to the queue below by itself.
  parallelization_factor         = 10
  bisect_batch_on_function_error = true

  # Nothing takes up by itself what is given up here, so EventBridge is waited for as long as that helps: at least some hours, as
  # far as Lambda's own pauses between tries go. The age is no shorter, so that what stands behind such a record is not given up
  # with it; and half of the stream's day is left for a person to read what was.
  maximum_retry_attempts        = 100
  maximum_record_age_in_seconds = 12 * local.hour

  filter_criteria {
    filter {
      pattern = jsonencode(each.value.pattern)
    }
  }

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.announce_failure.arn
    }
  }
}

locals {
  # Queue → function. One message at a time, because each may take as long as Azure DevOps does, and a time-out would count as a
  # receive of all that were in its batch. ReportBatchItemFailures all the same: a message that is to come again is no error.
  queues_read = {
    dispatch = aws_sqs_queue.dispatch.arn
    report   = aws_sqs_queue.report.arn
  }
}

resource "aws_lambda_event_source_mapping" "queue" {
  for_each = local.queues_read

  function_name                      = module.triggered[each.key].arn
  event_source_arn                   = each.value
  function_response_types            = local.item_failures
  batch_size                         = 1
  maximum_batching_window_in_seconds = 0

  # What waits here often waits because Azure DevOps limits us: more at once would only be refused. Reserved concurrency would
  # throttle, and each throttled message would have been received in vain.
  scaling_config {
    maximum_concurrency = 10
  }
}

# Its own queue is how dispatch waits, as often as Azure DevOps asks it to, for a quarter of an hour. Lambda takes the sixteenth
# time for a loop that nobody wanted, and would put the delivery into the dead-letter queue.
resource "aws_lambda_function_recursion_config" "dispatch" {
  function_name  = module.triggered["dispatch"].name
  recursive_loop = "Allow"
}

# reconcile: on a schedule, in a group of its own, so that its role can be taken on for nothing else.
resource "aws_scheduler_schedule_group" "this" {
  name = local.name
}

resource "aws_scheduler_schedule" "reconcile" {
  name                = "${local.name}-reconcile"
  group_name          = aws_scheduler_schedule_group.this.name
  description         = "Hook health, lost events, tokens that end"
  schedule_expression = var.reconcile_schedule

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = module.triggered["reconcile"].arn
    role_arn = aws_iam_role.schedule.arn

    # Without one the scheduler sends an event with a time in it, and reconcile takes a time for that of trouble.
    input = jsonencode({ trigger = "schedule" })

    # No dead-letter queue: the next pass sees to all that a missed one would have, and an hour without any is an alarm.
    retry_policy {
      maximum_event_age_in_seconds = 10 * local.minute
      maximum_retry_attempts       = 5
    }
  }
}

resource "aws_iam_role" "schedule" {
  name               = "${local.name}-schedule"
  description        = "The scheduler calls reconcile"
  assume_role_policy = data.aws_iam_policy_document.schedule_trust.json
}

resource "aws_iam_role_policy" "schedule" {
  name   = "permissions"
  role   = aws_iam_role.schedule.id
  policy = data.aws_iam_policy_document.schedule.json
}

# The scheduler works for everybody's schedules: for this account's alone, and of those for the ones of our group.
data "aws_iam_policy_document" "schedule_trust" {
  statement {
    sid     = "ScheduleOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.schedule_group_arn]
    }
  }
}

data "aws_iam_policy_document" "schedule" {
  statement {
    sid       = "CallReconcile"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.function_arns.reconcile]
  }
}

# And when deliveries begin to be lost for a reason of ours, or that ends: reconcile notes a gap for every integration, and looks
# for what was lost in it. Alarms tell the default bus. Not when an alarm is new, hence the state before.
resource "aws_cloudwatch_event_rule" "trouble" {
  name           = "${local.name}-trouble"
  description    = "webhook could not store, or was throttled; or can again"
  event_bus_name = "default"

  event_pattern = jsonencode({
    source      = ["aws.cloudwatch"]
    detail-type = ["CloudWatch Alarm State Change"]
    resources   = local.trouble_alarm_arns
    detail = {
      state         = { value = ["ALARM", "OK"] }
      previousState = { value = ["ALARM", "OK"] }
    }
  })
}

# No dead-letter queue: EventBridge goes on trying for a day, and once a day reconcile compares without being told of a gap.
resource "aws_cloudwatch_event_target" "trouble" {
  rule           = aws_cloudwatch_event_rule.trouble.name
  event_bus_name = aws_cloudwatch_event_rule.trouble.event_bus_name
  target_id      = "reconcile"
  arn            = module.triggered["reconcile"].arn
}

resource "aws_lambda_permission" "trouble" {
  statement_id  = "RuleOnTrouble"
  function_name = module.triggered["reconcile"].name
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.trouble.arn
}

# Both of them call without waiting. Six hours are the longest that Lambda waits for a place to run, or between tries; a pass that
# is as late does no harm, since each begins by reading what is.
resource "aws_lambda_function_event_invoke_config" "reconcile" {
  function_name                = module.triggered["reconcile"].name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 6 * local.hour
}
