"""Pure rules and frozen values. Imports nothing of ours from outside this folder, and no AWS."""
