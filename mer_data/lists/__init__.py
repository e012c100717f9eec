"""Published clip lists, as data: ``dataset,subject,clip,class`` per row. The list defines its composite, not a rule.

``megc2019`` is the official list of the MEGC 2019 challenge (442 clips, 68 subjects); ``casmes`` that of Off-TANet
(CASME, CASME II, CAS(ME)^2: 294 clips, 49 subjects).
"""
