"""One importer per foreign feature format: arrays that other projects extracted."""
