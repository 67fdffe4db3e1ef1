"""The tab "Ask": questions to the tables of Labels layers."""
