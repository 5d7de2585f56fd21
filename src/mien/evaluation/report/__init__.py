"""Reports: tables in Markdown, and a page with the pictures behind the numbers."""
