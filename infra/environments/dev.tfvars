# make deploy ENVIRONMENT=dev: for trying things; short-lived, and easy to destroy.
environment          = "dev"
deletion_protection  = false
event_retention_days = 7
log_retention_days   = 7
log_level            = "DEBUG"
secret_recovery_days = 0
