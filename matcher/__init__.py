"""The mastering engine: analyze, plan, render, report."""
