"""The REST API, version 1: routes by noun, envelopes, who may do what, and how often."""
