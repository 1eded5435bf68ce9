//! TRBs of xHCI 1.2 chapter 6.4, as producers and consumers see them.
