"""What people and programs read of a result: dataclasses, their tables and pages."""
