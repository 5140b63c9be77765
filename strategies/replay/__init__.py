"""The main job: replay a trace through the trackers, judge each harvest, show and save."""
