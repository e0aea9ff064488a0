"""A door for agents: tools of the Model Context Protocol over what people search and look up."""
