"""The app on this machine: deployed onto an AWS emulator, run in containers, on DynamoDB Local."""
