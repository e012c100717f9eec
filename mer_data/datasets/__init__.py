"""One importer per dataset, as it is distributed: official sheet and frame tree in, clips out."""
