"""The credmon, part by part."""
