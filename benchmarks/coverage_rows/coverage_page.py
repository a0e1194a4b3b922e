def merged(*a): pass
def page(*a): return ""
