"""A plugin that can't be imported."""

import a_module_that_is_nowhere  # type: ignore[import-not-found] # on purpose

Broken = a_module_that_is_nowhere.Broken
