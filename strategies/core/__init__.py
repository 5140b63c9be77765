"""The simulated machine: a POWER Book3S HV host and its guest. It never imports a tracker."""
