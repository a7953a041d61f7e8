"""The pages of the site from outside of docs/: the README as its first page, the texts beside it, and the notebooks."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    for page in sorted([*root.glob("*.md"), *root.glob("examples/*.ipynb"), *root.glob("pretrained/**/*.md")]):
        uri = page.relative_to(root).as_posix()
        files.append(File(uri, str(root), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite links between docs/ and the root of the repository, as the site has both in one folder."""
    if page.file.src_uri == "README.md":
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../../", "](../") if page.file.src_uri.startswith("guide/") else markdown
