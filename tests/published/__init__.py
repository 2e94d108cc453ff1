"""Every published file as it is published, with made-up weights: written by other people's code
where pip brings it, served by a machine that speaks the hub's and GitHub's protocols, and loaded by
its card's name."""
