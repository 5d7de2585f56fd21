"""Pages of reports: a package's Jinja template, and the one stylesheet that they include."""

from __future__ import annotations


def page(package: str, template: str, **values: object) -> str:
    """HTML of a template; what is put in is escaped.

    Args:
        package: whose folder ``templates`` holds it.
        template: file name.
        values: what it speaks of.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("mien.core")]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values)
