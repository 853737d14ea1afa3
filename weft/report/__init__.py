"""HTML reports, figures and event displays."""
