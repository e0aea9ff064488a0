"""PDFs: the text layer, the layout checked against it, and the pages that need a second look."""
