"""Pure rules and frozen values. Imports nothing of the app from outside this folder, and no AWS."""
