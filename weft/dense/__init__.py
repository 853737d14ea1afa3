"""Networks on dense volumes: their size laws, losses and sliding windows."""
